"""A student as an ONNX file, tried in ONNX Runtime.

Works on modules, raw images and paths. ONNX, its exporter and its runtime come with the extra `export`; nothing else
of the project needs them.
"""

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from study.errors import UserError
from study.export.student import Student, WithProbabilities
from study.storage import write_whole

if TYPE_CHECKING:
    import onnx
    import onnxruntime

IMAGES, LOGITS, PROBABILITIES = "images", "logits", "probabilities"
"""Names of the file's input (N, C, H, W), uint8, and of its outputs (N, classes), float32."""

OPSET = 20
"""Of ONNX 1.15 (2023): old enough for the runtimes on devices, and what the exporter writes without a conversion."""

BLOCK = 500


def require_onnx() -> None:
    """See that the extra is installed.

    Raises:
        UserError: it is not; names the package and how to get it.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"ONNX needs packages that are not installed ({error.name or error}): "
            "pip install 'noisy-teacher-study[export]'"
        ) from None


def write_onnx(student: Student, example: npt.NDArray[np.uint8], path: Path, facts: Mapping[str, str]) -> None:
    """Write a student with its preprocessing; the number of images is left open.

    Args:
        student: on the CPU, in evaluation mode.
        example: two raw images or more, (N, C, H, W).
        path: where to; replaced as a whole.
        facts: kept in the file's metadata.

    Raises:
        UserError: the network has an operation that the exporter does not know, or the disk is full.
    """
    with _quiet():
        try:
            program = torch.onnx.export(
                WithProbabilities(student).eval(),
                (torch.from_numpy(example),),
                dynamo=True,
                input_names=[IMAGES],
                output_names=[LOGITS, PROBABILITIES],
                dynamic_shapes=({0: torch.export.Dim("images")},),
                opset_version=OPSET,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise UserError(
                f"this network cannot be written as ONNX ({' '.join(str(error).split())[:200]}); --format torch can"
            ) from None
    assert program is not None
    model = program.model_proto
    for name, value in facts.items():
        model.metadata_props.add(key=name, value=value)
    content = model.SerializeToString()
    write_whole(path, lambda temporary: temporary.write_bytes(content))


def write_int8(source: Path, path: Path) -> None:
    """Quantise an ONNX file dynamically: weights as 8-bit integers, activations when they are known.

    The preprocessing stays as it is. Weights are unsigned, the one kind that ONNX Runtime's integer convolution takes
    on every CPU.

    Raises:
        UserError: the disk is full.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    preprocessing = [node.name for node in onnx.load(source).graph.node if _is_preprocessing(node)]
    with tempfile.TemporaryDirectory() as folder, _quiet():
        quantised = Path(folder) / path.name
        quantize_dynamic(source, quantised, weight_type=QuantType.QUInt8, nodes_to_exclude=preprocessing)
        content = quantised.read_bytes()
    write_whole(path, lambda temporary: temporary.write_bytes(content))


def open_onnx(path: Path) -> "onnxruntime.InferenceSession":
    """A file in ONNX Runtime on one thread of the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def onnx_logits(session: "onnxruntime.InferenceSession", images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Logits (N, classes) for raw images (N, C, H, W)."""
    starts = range(0, len(images), BLOCK)
    parts = [session.run([LOGITS], {IMAGES: images[start : start + BLOCK]})[0] for start in starts]
    return np.concatenate(parts).astype(np.float32, copy=False)


def _is_preprocessing(node: "onnx.NodeProto") -> bool:
    """By the name of the module a node comes from, which the exporter keeps beside it."""
    return any("student.preprocessing" in entry.value for entry in node.metadata_props)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Exporter and quantiser speak of their own insides, in logs, warnings and on standard output."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
