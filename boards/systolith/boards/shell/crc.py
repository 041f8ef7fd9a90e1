# SPDX-License-Identifier: Apache-2.0
"""The frames' checksum in gateware: Amaranth's CRC processor, a byte a cycle, for both directions."""

from amaranth.lib.crc import Processor, catalog

from ..host.protocol import CRC_BYTES

__all__ = ["make_crc"]

_BYTE_BITS = 8


def make_crc() -> Processor:
    """A processor of the checksum that :func:`systolith.boards.host.protocol.checksum` computes.

    Bytes go in one a cycle; the result is there a cycle later.
    """
    algorithm = catalog.CRC16_IBM_3740
    if algorithm.crc_width != CRC_BYTES * _BYTE_BITS:
        raise ValueError(f"frames have {CRC_BYTES} checksum bytes, the algorithm {algorithm.crc_width} bits")
    return algorithm(data_width=_BYTE_BITS).create()
