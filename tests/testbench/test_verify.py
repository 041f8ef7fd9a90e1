# SPDX-License-Identifier: Apache-2.0
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from systolith.compiler.runtime import RunResult
from systolith.spec.arch import PRESETS
from systolith.spec.image import Program
from systolith.testbench.isa_model import IsaModel, read_tensor
from systolith.testbench.job import StoreLog
from systolith.testbench.verify import run_model, verify
from tests.support.programs import random_case
from tests.support.random_graphs import random_network

SEED = 5
PROGRAM, SAMPLES = random_case(SEED, PRESETS["4x4"], count=3, make=random_network)
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Seen:
    result: RunResult
    stores: StoreLog | None


@dataclass
class FlawedEngine:
    """An engine that is right but for one store of one inference."""

    flawed_run: int = -1
    flawed_store: int = 0
    visible: bool = True

    def observe(self, program: Program, inputs: Sequence[Mapping[str, Ints]]) -> list[Seen]:
        model = IsaModel(program)
        return [self._run(model, feed, index == self.flawed_run) for index, feed in enumerate(inputs)]

    def _run(self, model: IsaModel, feed: Mapping[str, Ints], flawed: bool) -> Seen:
        traces, _ = run_model(model, feed)
        addresses = np.concatenate([trace.addresses for trace in traces])
        data = np.concatenate([trace.data for trace in traces])
        if flawed:
            data[self.flawed_store, 0] += 1
            model.activations[addresses[self.flawed_store]] += 1
        outputs = {tensor.name: read_tensor(model.activations, tensor) for tensor in model.program.outputs}
        log = StoreLog(np.arange(len(addresses)), addresses, data)
        return Seen(RunResult(outputs), log if self.visible else None)


def test_model_alone() -> None:
    steps: list[tuple[int, int]] = []
    verdict = verify(PROGRAM, SAMPLES, None, lambda done, total: steps.append((done, total)))
    assert verdict.equal
    assert (verdict.samples, verdict.stores) == (3, 0)
    assert verdict.elements == 3 * SAMPLES[0].expected[PROGRAM.outputs[0].name].size
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_everything_equal() -> None:
    verdict = verify(PROGRAM, SAMPLES, FlawedEngine())
    assert verdict.equal
    assert verdict.stores > 0


def test_a_wrong_inner_store_is_found_and_placed() -> None:
    verdict = verify(PROGRAM, SAMPLES, FlawedEngine(flawed_run=1))
    assert not verdict.equal
    (finding,) = verdict.findings
    assert (finding.sample, finding.pair) == ("random 1", "ISA model and RTL")
    assert finding.place is not None
    assert (finding.place.layer, finding.place.cycle) == (PROGRAM.layers[0].name, 0)
    assert str(finding).startswith(f"sample 'random 1': ISA model and RTL differ: layer {PROGRAM.layers[0].name!r}")


def test_wrong_outputs_of_a_device_without_trace() -> None:
    verdict = verify(PROGRAM, SAMPLES, FlawedEngine(flawed_run=2, flawed_store=-1, visible=False))
    (finding,) = verdict.findings
    assert finding.place is None
    assert finding.what.startswith(f"output {PROGRAM.outputs[0].name!r}, element")


def test_a_reference_that_differs_in_a_layer() -> None:
    sample = SAMPLES[0]
    name = PROGRAM.layers[1].output.name
    wrong = sample.layers[name].copy()
    wrong.flat[0] += 1
    verdict = verify(PROGRAM, [replace(sample, layers={**sample.layers, name: wrong})], None)
    (finding,) = verdict.findings
    assert finding.pair == "reference and ISA model"
    assert finding.place is not None
    assert finding.place.layer == PROGRAM.layers[1].name
