"""A student as an ONNX file, and its logits in ONNX Runtime.

Works on modules, raw images and paths. ONNX, its exporter and its runtime are in the extra `export`; no other part of
the project needs them.
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
"""The operator set of ONNX 1.15 (2023). Runtimes on devices support it, and the exporter writes it without
converting."""

BLOCK = 500


def require_onnx() -> None:
    """Check that the extra `export` is installed.

    Raises:
        UserError: it is not; the message names the package and the command that installs it.
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
    """Write a student with its preprocessing. The file accepts any number of images.

    Args:
        student: on the CPU, in evaluation mode.
        example: two or more raw images, (N, C, H, W).
        path: the file; it is replaced atomically.
        facts: written to the file's metadata.

    Raises:
        UserError: the network has an operation that the exporter does not support, or the disk is full.
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
                f"this network cannot be written as ONNX ({' '.join(str(error).split())[:200]}); use --format torch"
            ) from None
    assert program is not None
    model = program.model_proto
    for name, value in facts.items():
        model.metadata_props.add(key=name, value=value)
    content = model.SerializeToString()
    write_whole(path, lambda temporary: temporary.write_bytes(content))


def write_int8(source: Path, path: Path) -> None:
    """Quantise an ONNX file dynamically: weights are 8-bit integers in the file, activations are quantised when it
    runs.

    The preprocessing is not quantised. Weights are unsigned, because ONNX Runtime's integer convolution supports only
    those on every CPU.

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
    """Open a file in ONNX Runtime, on the CPU with one thread."""
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
    """Whether a node belongs to the preprocessing: the exporter writes the module's name into the node's metadata."""
    return any("student.preprocessing" in entry.value for entry in node.metadata_props)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide the logs, warnings and output of the exporter and the quantiser, which describe only their own steps."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
