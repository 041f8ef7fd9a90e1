# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from systolith.api.build_folder import BuildFolder
from systolith.api.network import IsaBackend, ReferenceBackend, engine_batch, engine_feeds, outputs_of, random_inputs
from systolith.compiler.errors import InputFileError
from tests.support.builds import SmallBuild


def test_feeds_are_the_batch_one_by_one(small: SmallBuild) -> None:
    build = BuildFolder(small.folder)
    network, samples = build.network(), build.samples()
    batch, feeds = engine_batch(network, samples), engine_feeds(network, samples)
    np.testing.assert_array_equal(np.concatenate([feed["input"] for feed in feeds]), batch["input"])
    assert feeds[0]["input"].shape == (1, 2, 4, 4)


def test_real_values_are_quantised_with_the_input_scale(small: SmallBuild) -> None:
    network = BuildFolder(small.folder).network()
    qparams = network.tensors["input"].qparams
    assert qparams is not None
    values = np.full((1, 2, 4, 4), 3 * qparams.scale, dtype=np.float32)
    np.testing.assert_array_equal(engine_batch(network, {"input": values})["input"], 3 + qparams.zero_point)


def test_missing_and_misshapen_inputs(small: SmallBuild) -> None:
    network = BuildFolder(small.folder).network()
    with pytest.raises(InputFileError, match="input"):
        engine_batch(network, {})
    with pytest.raises(InputFileError, match="input"):
        engine_batch(network, {"input": np.zeros((1, 7))})


def test_models_agree(small: SmallBuild) -> None:
    build = BuildFolder(small.folder)
    network, program = build.network(), build.program()
    feeds = random_inputs(network, 3, seed=2)
    golden = outputs_of(network, ReferenceBackend(network).run(program, feeds))
    model = outputs_of(network, IsaBackend().run(program, feeds))
    np.testing.assert_array_equal(golden[network.outputs[0]], model[network.outputs[0]])
    assert golden[network.outputs[0]].shape == (3, 3)


def test_same_seed_same_inputs(small: SmallBuild) -> None:
    network = BuildFolder(small.folder).network()
    first, second, other = (random_inputs(network, 1, seed=seed)[0]["input"] for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
