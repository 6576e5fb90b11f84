/* SPDX-License-Identifier: MIT */
/* terminal.c - see terminal.h. Called by exec.c. */
#include "agent/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define GROUP_TTY 5 /* Debian's and everybody else's */

int terminal_open(unsigned rows, unsigned columns, uid_t owner, int *master, int *slave)
{
	int unlocked = 0, err;

	*slave = -1;
	*master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (*master < 0)
		return -errno;
	/* By the master, not by a path that the guest may have put something else at. */
	if (ioctl(*master, TIOCSPTLCK, &unlocked))
		goto fail;
	*slave = ioctl(*master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (*slave < 0)
		goto fail;
	/* As an ordinary user it is its own already. */
	if (geteuid() == 0 && (fchown(*slave, owner, GROUP_TTY) || fchmod(*slave, 0620)))
		goto fail;
	terminal_resize(*master, rows ? rows : 24, columns ? columns : 80);
	return 0;

fail:
	err = -errno;
	if (*slave >= 0)
		close(*slave);
	close(*master);
	return err;
}

void terminal_resize(int master, unsigned rows, unsigned columns)
{
	const struct winsize size = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns };

	ioctl(master, TIOCSWINSZ, &size);
}

int terminal_end_character(int master)
{
	struct termios t;

	if (tcgetattr(master, &t) || !(t.c_lflag & ICANON) || t.c_cc[VEOF] == _POSIX_VDISABLE)
		return -1;
	return t.c_cc[VEOF];
}
