"""Fine-tuning on multiple-choice questions with Hugging Face's Trainer."""

from ntlbg_model.training.building import DTYPES, build_trainer
from ntlbg_model.training.samples import FrameReader, NoTrainingDataError, QuestionSamples
from ntlbg_model.training.trainer import NTLBGTrainer

__all__ = [
    "DTYPES",
    "FrameReader",
    "NTLBGTrainer",
    "NoTrainingDataError",
    "QuestionSamples",
    "build_trainer",
]
