"""NTLBG-LLM: representative points pick the few frames of a long video that answer a question.

The package root imports nothing heavy, so that `import ntlbg_model.config` costs milliseconds.
"""

__version__ = "0.1.0"
