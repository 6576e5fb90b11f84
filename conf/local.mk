# SPDX-License-Identifier: MIT
confdir = $(pkgdatadir)/conf
dist_conf_DATA = conf/cluster.conf conf/minimal.conf conf/nat.conf conf/sandbox.conf
initdir = $(pkgdatadir)/init
dist_init_SCRIPTS = conf/init/demo
