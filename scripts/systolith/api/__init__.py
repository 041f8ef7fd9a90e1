# SPDX-License-Identifier: Apache-2.0
"""The Python interface: what a notebook user calls.

``compile`` takes an ONNX file to a :class:`~systolith.api.flow.Compiled` network: its ``program``, its integer
``network`` and some real ``samples``. The back ends ``ReferenceBackend``, ``IsaBackend``, ``RtlSimulator`` and
``BoardBackend`` all run programs in the same way; ``engine_feeds`` and ``outputs_of`` translate between the network's
own inputs and outputs and the engine's integers.
"""

from systolith.boards.host.backend import BoardBackend
from systolith.boards.host.client import BoardClient
from systolith.compiler.ir import Graph
from systolith.compiler.quantise_config import QuantiseConfig
from systolith.compiler.weight_search import Allowance
from systolith.spec.arch import Arch, load_arch
from systolith.spec.image import Program
from systolith.testbench.runner.backend import RtlSimulator

from .accuracy_report import measure_accuracy
from .build_folder import BuildFolder
from .flow import Compiled, compile
from .network import IsaBackend, ReferenceBackend, engine_feeds, outputs_of

__all__ = [
    "Allowance",
    "Arch",
    "BoardBackend",
    "BoardClient",
    "BuildFolder",
    "Compiled",
    "Graph",
    "IsaBackend",
    "Program",
    "QuantiseConfig",
    "ReferenceBackend",
    "RtlSimulator",
    "compile",
    "engine_feeds",
    "load_arch",
    "measure_accuracy",
    "outputs_of",
]
