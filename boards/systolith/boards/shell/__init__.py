# SPDX-License-Identifier: Apache-2.0
"""What stands around the engine on every board: the serial line, the frames, the reset and the lamps."""
