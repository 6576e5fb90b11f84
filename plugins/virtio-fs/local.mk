# SPDX-License-Identifier: MIT
VIRTIO_FS_SOURCES = \
	plugins/virtio-fs/call.c plugins/virtio-fs/call.h \
	plugins/virtio-fs/dispatch.c plugins/virtio-fs/operations.h \
	plugins/virtio-fs/entry.c plugins/virtio-fs/entry.h \
	plugins/virtio-fs/handle.c plugins/virtio-fs/handle.h \
	plugins/virtio-fs/host-inode.h \
	plugins/virtio-fs/lock.c plugins/virtio-fs/lock.h \
	plugins/virtio-fs/node.c plugins/virtio-fs/node.h \
	plugins/virtio-fs/node-descriptor.c plugins/virtio-fs/node-table.h \
	plugins/virtio-fs/node-index.c plugins/virtio-fs/node-index.h \
	plugins/virtio-fs/op-directory.c \
	plugins/virtio-fs/op-file.c \
	plugins/virtio-fs/op-node.c \
	plugins/virtio-fs/op-open.c \
	plugins/virtio-fs/op-tree.c \
	plugins/virtio-fs/op-xattr.c \
	plugins/virtio-fs/options.c plugins/virtio-fs/options.h \
	plugins/virtio-fs/owner.c plugins/virtio-fs/owner.h plugins/virtio-fs/owner-private.h \
	plugins/virtio-fs/owner-host.c \
	plugins/virtio-fs/owner-record.c \
	plugins/virtio-fs/owner-squash.c \
	plugins/virtio-fs/owner-store.c \
	plugins/virtio-fs/quota.c plugins/virtio-fs/quota.h \
	plugins/virtio-fs/session.c plugins/virtio-fs/session.h \
	plugins/virtio-fs/share.h plugins/virtio-fs/tree.h \
	plugins/virtio-fs/virtio-fs.c \
	plugins/virtio-fs/window.c plugins/virtio-fs/window.h

plugin_LTLIBRARIES += plugins/virtio-fs/virtio-fs.la
plugins_virtio_fs_virtio_fs_la_SOURCES = $(VIRTIO_FS_SOURCES)
plugins_virtio_fs_virtio_fs_la_LDFLAGS = $(PLUGIN_LDFLAGS)

# Its tests are the guest's side of FUSE: tests/unit/fs_client.h, linked with the plugin's own objects.
VIRTIO_FS_TEST_WITH = tests/unit/libvirtio-fs-test.a core/config/libconfig.a $(UNIT_LIBS) $(CONFIG_LIBS)
if HAVE_CMOCKA
check_LIBRARIES += tests/unit/libvirtio-fs-test.a
VIRTIO_FS_TESTS = \
	tests/unit/fs_call_test \
	tests/unit/fs_options_test \
	tests/unit/fs_session_test \
	tests/unit/fs_node_test \
	tests/unit/fs_directory_test \
	tests/unit/fs_contained_test \
	tests/unit/fs_tree_test \
	tests/unit/fs_open_test \
	tests/unit/fs_xattr_test \
	tests/unit/fs_quota_test \
	tests/unit/fs_readonly_test \
	tests/unit/fs_file_test \
	tests/unit/fs_lock_test \
	tests/unit/fs_window_test \
	tests/unit/fs_owner_test \
	tests/unit/fs_read_test \
	tests/unit/fs_write_test \
	tests/unit/fs_node_change_test \
	tests/unit/fs_node_many_test \
	tests/unit/fs_owner_host_test
check_PROGRAMS += $(VIRTIO_FS_TESTS)
TESTS += $(VIRTIO_FS_TESTS)
endif
tests_unit_libvirtio_fs_test_a_SOURCES = \
	tests/unit/fs_client.c tests/unit/fs_client.h \
	tests/unit/fs_client_directory.c \
	tests/unit/fs_client_file.c \
	tests/unit/fs_client_folder.c \
	tests/unit/fs_client_lock.c \
	tests/unit/fs_client_node.c \
	tests/unit/fs_client_tree.c \
	tests/unit/fs_client_window.c \
	tests/unit/fs_client_xattr.c \
	tests/unit/fs_host.c tests/unit/fs_host.h \
	tests/unit/fs_host_life.c \
	tests/unit/fs_host_services.c \
	tests/unit/descriptors.h tests/unit/iovec_copy.h \
	$(VIRTIO_FS_SOURCES)
tests_unit_libvirtio_fs_test_a_CFLAGS = $(UNIT_CFLAGS)

tests_unit_fs_call_test_SOURCES = tests/unit/fs_call_test.c
tests_unit_fs_call_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_fs_call_test_LDADD = $(VIRTIO_FS_TEST_WITH)
tests_unit_fs_options_test_SOURCES = tests/unit/fs_options_test.c
tests_unit_fs_options_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_fs_options_test_LDADD = $(VIRTIO_FS_TEST_WITH)
tests_unit_fs_session_test_SOURCES = tests/unit/fs_session_test.c
tests_unit_fs_session_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_fs_session_test_LDADD = $(VIRTIO_FS_TEST_WITH)
tests_unit_fs_node_test_SOURCES = tests/unit/fs_node_test.c tests/unit/fs_look.h
tests_unit_fs_node_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_fs_node_test_LDADD = $(VIRTIO_FS_TEST_WITH)
tests_unit_fs_directory_test_SOURCES = tests/unit/fs_directory_test.c tests/unit/fs_look.h
tests_unit_fs_directory_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_fs_directory_test_LDADD = $(VIRTIO_FS_TEST_WITH)
tests_unit_fs_contained_test_SOURCES = tests/unit/fs_contained_test.c tests/unit/fs_look.h
tests_unit_fs_contained_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_fs_contained_test_LDADD = $(VIRTIO_FS_TEST_WITH)
tests_unit_fs_tree_test_SOURCES = tests/unit/fs_tree_test.c tests/unit/fs_look.h
tests_unit_fs_tree_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_fs_tree_test_LDADD = $(VIRTIO_FS_TEST_WITH)
tests_unit_fs_open_test_SOURCES = tests/unit/fs_open_test.c tests/unit/fs_look.h
tests_unit_fs_open_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_fs_open_test_LDADD = $(VIRTIO_FS_TEST_WITH)
tests_unit_fs_xattr_test_SOURCES = tests/unit/fs_xattr_test.c
tests_unit_fs_xattr_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_fs_xattr_test_LDADD = $(VIRTIO_FS_TEST_WITH)
tests_unit_fs_quota_test_SOURCES = tests/unit/fs_quota_test.c
tests_unit_fs_quota_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_fs_quota_test_LDADD = $(VIRTIO_FS_TEST_WITH)
tests_unit_fs_readonly_test_SOURCES = tests/unit/fs_readonly_test.c
tests_unit_fs_readonly_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_fs_readonly_test_LDADD = $(VIRTIO_FS_TEST_WITH)
tests_unit_fs_file_test_SOURCES = tests/unit/fs_file_test.c tests/unit/fs_pattern.h
tests_unit_fs_file_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_fs_file_test_LDADD = $(VIRTIO_FS_TEST_WITH)
tests_unit_fs_lock_test_SOURCES = tests/unit/fs_lock_test.c
tests_unit_fs_lock_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_fs_lock_test_LDADD = $(VIRTIO_FS_TEST_WITH)
tests_unit_fs_window_test_SOURCES = tests/unit/fs_window_test.c
tests_unit_fs_window_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_fs_window_test_LDADD = $(VIRTIO_FS_TEST_WITH)
tests_unit_fs_owner_test_SOURCES = tests/unit/fs_owner_test.c tests/unit/fs_owner_fixture.h
tests_unit_fs_owner_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_fs_owner_test_LDADD = $(VIRTIO_FS_TEST_WITH)
tests_unit_fs_read_test_SOURCES = tests/unit/fs_read_test.c tests/unit/fs_pattern.h
tests_unit_fs_read_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_fs_read_test_LDADD = $(VIRTIO_FS_TEST_WITH)
tests_unit_fs_write_test_SOURCES = tests/unit/fs_write_test.c tests/unit/fs_pattern.h
tests_unit_fs_write_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_fs_write_test_LDADD = $(VIRTIO_FS_TEST_WITH)
tests_unit_fs_node_change_test_SOURCES = tests/unit/fs_node_change_test.c tests/unit/fs_look.h
tests_unit_fs_node_change_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_fs_node_change_test_LDADD = $(VIRTIO_FS_TEST_WITH)
tests_unit_fs_node_many_test_SOURCES = tests/unit/fs_node_many_test.c tests/unit/fs_look.h
tests_unit_fs_node_many_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_fs_node_many_test_LDADD = $(VIRTIO_FS_TEST_WITH)
tests_unit_fs_owner_host_test_SOURCES = tests/unit/fs_owner_host_test.c tests/unit/fs_owner_fixture.h
tests_unit_fs_owner_host_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_fs_owner_host_test_LDADD = $(VIRTIO_FS_TEST_WITH)
