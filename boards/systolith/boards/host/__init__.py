# SPDX-License-Identifier: Apache-2.0
"""The host side of the link: transport, client and the board back end."""
