# SPDX-License-Identifier: MIT
dist_man_MANS += doc/capsa.1
EXTRA_DIST += doc/plugin-authors.md
