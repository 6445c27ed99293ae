/*
 * Loaded by the tests (LD_PRELOAD): every receive from a TCP socket brings one byte at most. muxcat
 * calls recv, and for it Wine recvmsg.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <sys/socket.h>

static void *next(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

ssize_t recv(int fd, void *into, size_t size, int flags)
{
	static ssize_t (*real)(int, void *, size_t, int);

	if (!real)
		*(void **)&real = next("recv");
	return real(fd, into, size ? 1 : 0, flags);
}

/* Not a Unix socket, by which Wine talks to its server. */
static bool is_tcp(int fd)
{
	int domain = AF_UNIX;
	int type = 0;
	socklen_t length = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain != AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	static ssize_t (*real)(int, struct msghdr *, int);
	struct msghdr shorter = *message;
	struct iovec one = { 0 };
	ssize_t n;

	if (!real)
		*(void **)&real = next("recvmsg");
	if (!is_tcp(fd))
		return real(fd, message, flags);
	for (size_t i = 0; i < message->msg_iovlen && !one.iov_len; i++)
		if (message->msg_iov[i].iov_len)
			one = (struct iovec){ message->msg_iov[i].iov_base, 1 };
	shorter.msg_iov = &one;
	shorter.msg_iovlen = 1;
	n = real(fd, &shorter, flags);
	shorter.msg_iov = message->msg_iov;
	shorter.msg_iovlen = message->msg_iovlen;
	*message = shorter;
	return n;
}
