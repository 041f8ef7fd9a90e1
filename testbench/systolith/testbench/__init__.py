# SPDX-License-Identifier: Apache-2.0
"""Models, drivers, monitors and benches that judge the hardware."""
