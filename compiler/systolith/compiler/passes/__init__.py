# SPDX-License-Identifier: Apache-2.0
"""Graph-to-graph passes, one pass a module."""
