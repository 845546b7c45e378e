"""A checkpoint is data: no pickle in it is read, and no module that it brings is imported."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from ntlbg_model.backbone.model import TINY, BackboneError
from ntlbg_model.config import ModelConfig
from ntlbg_model.modeling.checkpoint import AnswerDevice, load_for_answers
from ntlbg_model.modeling.load import load_backbone
from ntlbg_model.published_models.load import load_native
from ntlbg_model.safe_loading import UnsafeCheckpointError, check_checkpoint, refuse_pickles
from ntlbg_model.selection.image_text import EncoderError, load_encoder

DEVICE = AnswerDevice(name="cpu", dtype=torch.float32, attention="sdpa")


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self._file,)


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """Is there when the payload has run."""
    return tmp_path / "ran"


def checkpoint(folder: Path, ran: Path, weights: str) -> Path:
    """The tiny base with a payload in place of its weights."""
    shutil.copytree(TINY, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / weights).write_bytes(pickle.dumps({"weight": Payload(ran)}))
    return folder


def test_the_payload_works(ran: Path) -> None:
    pickle.loads(pickle.dumps(Payload(ran)))
    assert ran.exists()


@pytest.mark.parametrize("weights", ["pytorch_model.bin", "model.pt", "weights.ckpt"])
def test_weights_in_a_pickle_are_refused(weights: str, tmp_path: Path, ran: Path) -> None:
    folder = checkpoint(tmp_path / "evil", ran, weights)
    with pytest.raises(BackboneError, match=rf"evil.*its weights are in a pickle \({weights}\)"):
        load_for_answers(str(folder), DEVICE)
    with pytest.raises(BackboneError, match="in a pickle"):
        load_backbone(
            ModelConfig(base_model=str(folder)),
            dtype=torch.float32,
            device="cpu",
            attention="sdpa",
        )
    native = ModelConfig(
        architecture="llava_onevision",
        base_model=str(folder),
        billion_parameters=1.0,
        tuning="none",
    )
    with pytest.raises(BackboneError, match="in a pickle"):
        load_native(native, dtype=torch.float32, device="cpu", attention="sdpa")
    with pytest.raises(EncoderError, match="in a pickle"):
        load_encoder("clip", str(folder), "cpu")
    assert not ran.exists()


def test_a_pickle_that_is_called_safetensors_is_none(tmp_path: Path, ran: Path) -> None:
    folder = checkpoint(tmp_path / "evil", ran, "model.safetensors")
    with pytest.raises(BackboneError, match=r"evil.* cannot be loaded: "):
        load_for_answers(str(folder), DEVICE)
    assert not ran.exists()


def test_all_weights_without_words_are_no_pickle_either(tmp_path: Path, ran: Path) -> None:
    folder = checkpoint(tmp_path / "evil", ran, "pytorch_model.bin")
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(BackboneError, match="in a pickle"):
        load_for_answers(str(folder), DEVICE, base="tiny")
    assert not ran.exists()


def test_adapters_in_a_pickle_are_refused(tmp_path: Path, ran: Path) -> None:
    folder = tmp_path / "adapters"
    folder.mkdir()
    adapter = {"peft_type": "LORA", "r": 4, "base_model_name_or_path": "tiny"}
    (folder / "adapter_config.json").write_text(json.dumps(adapter))
    (folder / "adapter_model.bin").write_bytes(pickle.dumps({"weight": Payload(ran)}))
    (folder / "other.safetensors").touch()
    with pytest.raises(BackboneError, match=r"in a pickle \(adapter_model.bin\)"):
        load_for_answers(str(folder), DEVICE)
    assert not ran.exists()


def test_what_a_training_goes_on_with_may_lie_beside(tmp_path: Path) -> None:
    for name in ("optimizer.pt", "model.safetensors"):
        (tmp_path / name).touch()
    refuse_pickles(tmp_path)
    refuse_pickles("a/hub-name")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UnsafeCheckpointError, match=r"optimizer\.pt"):
        refuse_pickles(tmp_path)


def test_code_that_a_checkpoint_brings_is_not_run(tmp_path: Path, ran: Path) -> None:
    folder = tmp_path / "evil"
    shutil.copytree(TINY, folder)
    code = f"from pathlib import Path\nPath({str(ran)!r}).touch()\nclass Evil: pass\n"
    (folder / "evil.py").write_text(code)
    config = json.loads((folder / "config.json").read_text())
    brought = {"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil"}
    for kind in ("qwen2_vl", "evil"):
        changed = config | {"model_type": kind, "auto_map": brought}
        (folder / "config.json").write_text(json.dumps(changed))
        if kind == "evil":
            with pytest.raises(BackboneError, match=r"evil.* cannot be loaded: "):
                load_for_answers(str(folder), DEVICE)
        else:
            load_for_answers(str(folder), DEVICE)
        assert not ran.exists()


def indexed(folder: Path, ran: Path, names: object) -> Path:
    """The tiny base with an index beside its weights, and a payload that the index may name."""
    checkpoint(folder, ran, "pytorch_model.bin")
    shutil.copy(TINY / "model.safetensors", folder / "part.safetensors")
    index = names if isinstance(names, str) else json.dumps({"metadata": {}, "weight_map": names})
    (folder / "model.safetensors.index.json").write_text(index)
    return folder


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"weight": "pytorch_model.bin"}, "names 'pytorch_model.bin'; only safetensors"),
        ({"weight": "../x.safetensors"}, "names '../x.safetensors', which is outside"),
        ({"weight": "/tmp/x.safetensors"}, "names '/tmp/x.safetensors', which is outside"),
        ({"weight": "a\x1b[2J.safetensors"}, "which is outside"),
        ({"weight": "gone.safetensors"}, "names 'gone.safetensors', which is not there"),
        ({"weight": 7}, "has no 'weight_map'"),
        ("[" * 100_000, "is nested too deeply"),
        ('{"weight_map": ' + "9" * 5000 + "}", "not JSON"),
        ("[]", "must be a JSON object"),
    ],
)
def test_an_index_names_safetensors_beside_it(
    names: object, said: str, tmp_path: Path, ran: Path
) -> None:
    folder = indexed(tmp_path / "evil", ran, names)
    with pytest.raises(BackboneError, match=said) as error:
        load_for_answers(str(folder), DEVICE)
    assert "\n" not in str(error.value) and "model.safetensors.index.json" in str(error.value)
    assert not ran.exists()


def test_an_index_of_safetensors_is_no_trouble(tmp_path: Path, ran: Path) -> None:
    check_checkpoint(indexed(tmp_path / "good", ran, {"weight": "part.safetensors"}))


@pytest.mark.parametrize(
    ("quantised", "said"),
    [
        (
            {"quant_method": "bitsandbytes", "load_in_4bit": True},
            "'bitsandbytes', which reads",
        ),
        ({"load_in_8bit": True}, "by 'bitsandbytes', and 'bitsandbytes', which reads"),
        ({"quant_method": "awq", "bits": 4}, "by 'awq', and 'gptqmodel', which reads them, is not"),
        (
            {"quant_method": "gptq", "bits": 4},
            "by 'gptq', and 'gptqmodel', which",
        ),
        ({"quant_method": "a\x1b[2J"}, "which nothing here reads"),
        ([1], "which nothing here reads"),
    ],
)
def test_a_quantisation_that_is_not_installed_is_one_line(
    quantised: object, said: str, tmp_path: Path
) -> None:
    folder = tmp_path / "quantised"
    shutil.copytree(TINY, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": quantised}))
    with pytest.raises(BackboneError, match=said) as error:
        load_for_answers(str(folder), DEVICE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "config",
    [
        *("[" * 100_000, "[]", "{", '{"model_type": 7}'),
        '{"model_type": "qwen2_vl", "vocab_size": "x"}',
        '{"model_type": "qwen2_vl", "vision_config": [], "vocab_size": 1e999}',
    ],
)
def test_a_config_that_is_none_is_one_line(config: str, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    shutil.copytree(TINY, folder)
    (folder / "config.json").write_text(config)
    with pytest.raises(BackboneError, match=r"odd.* cannot be loaded: ") as error:
        load_for_answers(str(folder), DEVICE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("origin", ["[", "[]", '{"config": 7}', "[" * 100_000])
def test_an_exported_folder_that_says_nothing_is_one_line(origin: str, tmp_path: Path) -> None:
    folder = tmp_path / "exported"
    shutil.copytree(TINY, folder)
    (folder / "ntlbg_run.json").write_text(origin)
    with pytest.raises(BackboneError, match=r"exported cannot be loaded: .*ntlbg_run\.json"):
        load_for_answers(str(folder), DEVICE)
