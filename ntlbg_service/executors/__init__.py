"""What starts and stops launches, behind one contract."""
