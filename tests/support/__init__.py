# SPDX-License-Identifier: Apache-2.0
"""What several tests share: generators of random graphs and small networks."""
