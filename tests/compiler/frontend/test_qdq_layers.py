# SPDX-License-Identifier: Apache-2.0
"""What each layer gives is tested through whole networks in test_qdq.py; here, that every operator is there."""

from systolith.compiler.borders import HOST_OPERATORS
from systolith.compiler.frontend.operators import COMPUTED
from systolith.compiler.frontend.qdq_layers import LAYERS

# normalised away on the way in
_OTHER_SPELLINGS = {
    "Dropout",
    "Flatten",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Mean",
    "Split",
    "Squeeze",
    "Sum",
    "Unsqueeze",
    "Upsample",
}


def test_every_accepted_operator_is_a_layer_or_refused_on_purpose() -> None:
    assert set(COMPUTED) - _OTHER_SPELLINGS - set(LAYERS) == {*HOST_OPERATORS}
