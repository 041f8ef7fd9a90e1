# SPDX-License-Identifier: Apache-2.0
"""The benchmark's networks: well-known shapes with seeded weights, one topology a module."""
