# SPDX-License-Identifier: MIT
pkglibexecdir = $(libexecdir)/capsa
dist_pkglibexec_SCRIPTS = packaging/kernel-fetch packaging/mkinitramfs
