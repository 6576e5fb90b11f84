# SPDX-License-Identifier: MIT
dist_man_MANS += doc/capsa.1 doc/capsa-cluster.1 doc/capsa-console.1 doc/capsa-cp.1 doc/capsa-doctor.1 doc/capsa-exec.1 doc/capsa-image.1 \
	doc/capsa-machine.1 doc/capsa-plugin.1 doc/capsa-run.1 doc/capsa.conf.5 doc/capsa-api.7 \
	doc/capsa-cluster-switch.7 doc/capsa-net-nat.7
EXTRA_DIST += doc/how-it-works.md doc/measurements.md doc/plugin-authors.md
dist_check_SCRIPTS += tests/unit/conf-page.sh
TESTS += tests/unit/conf-page.sh
