# SPDX-License-Identifier: Apache-2.0
"""The contract between compiler, hardware and tools: architecture, ISA, arithmetic, images."""
