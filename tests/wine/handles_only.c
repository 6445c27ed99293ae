/*
 * Loaded into Wine by the tests (LD_PRELOAD). A Windows process has handles only; under Wine it
 * also keeps the Unix descriptors 0 and 1 that those were made from, so that nobody would ever see
 * its stdout closed. They are given up as soon as Wine's server has got them; but for terminals, of
 * which Wine makes its console later.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void give_up(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return;
	dup2(null, fd);
	close(null);
}

ssize_t sendmsg(int to, const struct msghdr *message, int flags)
{
	static ssize_t (*next)(int, const struct msghdr *, int);
	struct cmsghdr *control = CMSG_FIRSTHDR(message);
	ssize_t n;

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "sendmsg");
	n = next(to, message, flags);
	if (n > 0 && control && control->cmsg_level == SOL_SOCKET &&
		control->cmsg_type == SCM_RIGHTS) {
		int fd;

		memcpy(&fd, CMSG_DATA(control), sizeof(fd));
		if ((fd == STDIN_FILENO || fd == STDOUT_FILENO) && !isatty(fd))
			give_up(fd);
	}
	return n;
}
