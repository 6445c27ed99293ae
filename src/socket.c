#include "socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The system cuts it down to net.core.somaxconn (listen(2)). */
enum { BACKLOG = 65535 };

static void set(mux_fd fd, int level, int option, int value)
{
	setsockopt(fd, level, option, &value, sizeof(value));
}

static mux_fd open_socket(
	enum address_scheme scheme, int family, const struct socket_options *options)
{
	bool datagram = scheme == ADDRESS_UDP || scheme == ADDRESS_UNIXGRAM;
	int type = (datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
	mux_fd fd = socket(family, type, 0);

	if (fd < 0)
		return -errno;
	/*
	 * before bind and connect: the window scale of TCP is settled with the first segment
	 * (tcp(7))
	 */
	if (options->recv_buffer)
		set(fd, SOL_SOCKET, SO_RCVBUF, options->recv_buffer);
	if (options->send_buffer)
		set(fd, SOL_SOCKET, SO_SNDBUF, options->send_buffer);
	/* what is read is sent at once; accepted sockets inherit it from their listener */
	if (scheme == ADDRESS_TCP)
		set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	return fd;
}

static mux_fd fail(mux_fd fd)
{
	int error = -errno;

	close(fd);
	return error;
}

mux_fd socket_listen(enum address_scheme scheme, const struct os_address *at,
	const struct socket_options *options)
{
	int family = at->u.any.sa_family;
	bool datagram = scheme == ADDRESS_UDP || scheme == ADDRESS_UNIXGRAM;
	mux_fd fd = open_socket(scheme, family, options);

	if (fd < 0)
		return fd;
	/* a port in TIME_WAIT may be taken again; for datagrams it would mean sharing one in use */
	if (family != AF_UNIX && !datagram)
		set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (family == AF_INET6)
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, options->v6_only);
	if (bind(fd, &at->u.any, at->length) < 0)
		return fail(fd);
	if (!datagram && listen(fd, BACKLOG) < 0)
		return fail(fd);
	return fd;
}

static int bind_source(mux_fd fd, int family, const struct socket_options *options)
{
	struct os_address source = options->source;

	if (!source.length) {
		memset(&source, 0, sizeof(source));
		source.u.any.sa_family = (sa_family_t)family;
		source.length = family == AF_INET6 ? sizeof(source.u.v6) : sizeof(source.u.v4);
	}
	if (source.u.any.sa_family != family) {
		errno = EAFNOSUPPORT;
		return -1;
	}
	if (family == AF_INET6)
		source.u.v6.sin6_port = htons(options->source_port);
	else
		source.u.v4.sin_port = htons(options->source_port);
	if (options->source_port)
		set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	return bind(fd, &source.u.any, source.length);
}

mux_fd socket_dialler(enum address_scheme scheme, const struct os_address *to,
	const struct socket_options *options)
{
	int family = to->u.any.sa_family;
	mux_fd fd = open_socket(scheme, family, options);

	if (fd < 0)
		return fd;
	if (scheme == ADDRESS_UNIXGRAM) {
		/* an address to answer to, and no file: "autobind" in unix(7) */
		struct sockaddr_un own = { .sun_family = AF_UNIX };

		if (bind(fd, (struct sockaddr *)&own, sizeof(own.sun_family)) < 0)
			return fail(fd);
	} else if (family != AF_UNIX && (options->source.length || options->source_port)) {
		if (bind_source(fd, family, options) < 0)
			return fail(fd);
	}
	return fd;
}

void socket_bound(mux_fd fd, struct os_address *address)
{
	memset(address, 0, sizeof(*address));
	address->length = sizeof(address->u);
	if (getsockname(fd, &address->u.any, &address->length) < 0)
		address->length = 0;
}

void socket_file_note(struct socket_file *file, const struct os_address *at)
{
	struct stat status;

	file->made = false;
	if (at->u.any.sa_family != AF_UNIX || !at->u.local.sun_path[0])
		return;
	strcpy(file->path, at->u.local.sun_path);
	if (lstat(file->path, &status) < 0)
		return;
	file->device = status.st_dev;
	file->inode = status.st_ino;
	file->made = true;
}

void socket_file_remove(struct socket_file *file)
{
	struct stat status;

	if (file->made && lstat(file->path, &status) == 0 && S_ISSOCK(status.st_mode) &&
		status.st_dev == file->device && status.st_ino == file->inode)
		unlink(file->path);
	file->made = false;
}
