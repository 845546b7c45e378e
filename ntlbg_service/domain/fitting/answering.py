"""How many questions a run answers at once when it is evaluated."""

from dataclasses import replace

from ntlbg_model.config import Config
from ntlbg_model.footprint import Step, answering_footprint, training_footprint
from ntlbg_service.domain.fitting.candidates import fewer_questions


def with_questions(config: Config, step: Step) -> Step:
    """The step with the most questions, of what the config asks for and its halves, whose answers
    take no more memory than training does. Where nothing is trained, the step as it is.

    A long video's evaluation in the config's batches can take more than the training before it.
    """
    if config.training.max_steps == 0:
        return step
    training = training_footprint(config, step).total
    for number in fewer_questions(config.evaluation.batch_size):
        asked = replace(step, questions=number)
        if number <= step.micro_batch or answering_footprint(config, asked).total <= training:
            return asked
    return step
