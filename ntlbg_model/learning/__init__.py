"""What learning to select needs beside the Trainer: losses, draws, teacher, sample order."""
