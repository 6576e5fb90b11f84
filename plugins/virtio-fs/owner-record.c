/* SPDX-License-Identifier: MIT */
/*
 * owner-record.c - a record of the guest's owner of a file, and its text: the value of the attribute OWNER_XATTR.
 *
 *     "1 UID GID MODE MAJOR:MINOR"     version, decimal numbers, mode in octal with its type: "1 1000 100 0104755 0:0"
 *     "1 1000 - - -"                   "-": as the host shows it
 *
 * Text, so that people can read it (getfattr -d) and backups carry it. It is read strictly: exactly what would be
 * written, no sign, no second space, no leading zero. The file may have been made by anybody.
 */
#include "owner-private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RECORD_VERSION '1'

static void write_id(char text[static 12], const struct owner_record *record, unsigned which, uint32_t id)
{
	if (record->has & which)
		snprintf(text, 12, "%" PRIu32, id);
	else
		memcpy(text, "-", 2);
}

size_t owner_record_write(const struct owner_record *record, char text[OWNER_RECORD_TEXT_MAX])
{
	char uid[12], gid[12];
	int len;

	write_id(uid, record, RECORD_UID, record->uid);
	write_id(gid, record, RECORD_GID, record->gid);
	if (record->has & RECORD_MODE)
		len = snprintf(text, OWNER_RECORD_TEXT_MAX, "%c %s %s 0%" PRIo32 " %" PRIu32 ":%" PRIu32,
		               RECORD_VERSION, uid, gid, record->mode, device_major(record->rdev),
		               device_minor(record->rdev));
	else
		len = snprintf(text, OWNER_RECORD_TEXT_MAX, "%c %s %s - -", RECORD_VERSION, uid, gid);
	return (size_t)len;
}

static bool type_is_possible(mode_t type, mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return S_ISREG(type) || (mode & S_IFMT) == type;
	default:
		return (mode & S_IFMT) == type;
	}
}

bool owner_record_read(struct owner_record *record, mode_t type, const char *text, size_t len)
{
	struct owner_record read = { 0 };
	uint32_t major, minor;
	char copy[OWNER_RECORD_TEXT_MAX], again[OWNER_RECORD_TEXT_MAX], uid[12], gid[12], mode[12], device[24];

	if (len >= sizeof copy || memchr(text, '\0', len))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	/* Taken apart loosely and put together again: only what comes out the same was right. */
	if (sscanf(copy, "1 %11s %11s %11s %23s", uid, gid, mode, device) != 4)
		return false;
	if (strcmp(uid, "-") != 0) {
		read.has |= RECORD_UID;
		if (sscanf(uid, "%" SCNu32, &read.uid) != 1 || read.uid == OWNER_NO_ID)
			return false;
	}
	if (strcmp(gid, "-") != 0) {
		read.has |= RECORD_GID;
		if (sscanf(gid, "%" SCNu32, &read.gid) != 1 || read.gid == OWNER_NO_ID)
			return false;
	}
	if (strcmp(mode, "-") != 0) {
		read.has |= RECORD_MODE;
		if (sscanf(mode, "%" SCNo32, &read.mode) != 1 || read.mode & ~(uint32_t)(S_IFMT | 07777) ||
		    !type_is_possible(type, read.mode))
			return false;
		if (sscanf(device, "%" SCNu32 ":%" SCNu32, &major, &minor) != 2 || major > 0xfff || minor > 0xfffff)
			return false;
		read.rdev = device_encode(major, minor);
	}
	if (owner_record_write(&read, again) != len || memcmp(again, text, len) != 0)
		return false;
	*record = read;
	return true;
}
