/* stdin and stdout, which others may share, and the terminal. */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* The same description under a number of its own, which may be closed without freeing 0 or 1. */
static mux_fd above_standard(mux_fd fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return copy < 0 ? -errno : copy;
}

static enum os_kind kind_of(mux_fd fd)
{
	struct stat status;

	if (fstat(fd, &status) < 0 || S_ISREG(status.st_mode) || S_ISBLK(status.st_mode) ||
		S_ISDIR(status.st_mode))
		return OS_FILE;
	return S_ISSOCK(status.st_mode) ? OS_SOCKET : OS_SHARED;
}

/*
 * A pipe or a terminal is opened anew, which makes a description of our own: its O_NONBLOCK is
 * nobody else's (proc(5), fd/). What cannot be is used as it is, after readiness.
 */
static mux_fd take_over(int number, int access, enum os_kind *kind)
{
	char path[32];

	*kind = kind_of(number);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", number);
	if (*kind == OS_SHARED && (fcntl(number, F_GETFL) & O_ACCMODE) != (access ^ O_WRONLY)) {
		int fd = open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

		if (fd >= 0) {
			*kind = OS_NONBLOCKING;
			return fd;
		}
	}
	return above_standard(number);
}

mux_fd os_stdin(enum os_kind *kind)
{
	return take_over(0, O_RDONLY, kind);
}

mux_fd os_stdout(enum os_kind *kind)
{
	return take_over(1, O_WRONLY, kind);
}

void os_release_standard(int number)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null >= 0) {
		dup2(null, number);
		close(null);
	} else {
		close(number);
	}
}

bool os_is_same(mux_fd a, mux_fd b)
{
	struct stat first;
	struct stat second;

	return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
	       first.st_ino == second.st_ino;
}

bool os_is_terminal(int number)
{
	return isatty(number);
}

bool os_has_terminal(void)
{
	int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);

	if (terminal >= 0)
		close(terminal);
	return terminal >= 0;
}
