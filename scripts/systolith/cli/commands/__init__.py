# SPDX-License-Identifier: Apache-2.0
"""One module a command, named after it, with the click command in ``command``."""
