# SPDX-License-Identifier: Apache-2.0
"""Builds engines for a simulator, launches it and speaks the back ends' common interface.

The only part of the test bench that imports the hardware.
"""
