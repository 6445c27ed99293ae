#include "socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The system cuts it down: to net.core.somaxconn (listen(2)); a plain number on Windows to 200. */
#ifdef SOMAXCONN_HINT
enum { BACKLOG = SOMAXCONN_HINT(65535) };
#else
enum { BACKLOG = 65535 };
#endif

static void set(mux_fd fd, int level, int option, int value)
{
	setsockopt(fd, level, option, (const void *)&value, sizeof(value));
}

static mux_fd open_socket(
	enum address_scheme scheme, int family, const struct socket_options *options)
{
	bool datagram = scheme == ADDRESS_UDP || scheme == ADDRESS_UNIXGRAM;
	mux_fd fd = os_socket(family, datagram ? SOCK_DGRAM : SOCK_STREAM);

	if (fd < 0)
		return fd;
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

static mux_fd fail(mux_fd fd, int error)
{
	os_close(fd, OS_SOCKET);
	return error;
}

/*
 * A port whose old connections linger in TIME_WAIT may be taken again; for datagrams that option
 * would mean sharing a port in use. On Windows it would mean so for all, and TIME_WAIT is no
 * hindrance: there the port is to be ours alone, and stays so while an accepted connection lives
 * on ("Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE", Winsock).
 */
static void own_port(mux_fd fd, bool datagram)
{
#ifdef SO_EXCLUSIVEADDRUSE
	(void)datagram;
	set(fd, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, 1);
#else
	if (!datagram)
		set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
#endif
}

bool socket_ports_are_shared(void)
{
#ifdef SO_REUSEPORT
	return true;
#else
	return false;
#endif
}

static void share_port(mux_fd fd)
{
#ifdef SO_REUSEPORT
	set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
#else
	(void)fd;
#endif
}

mux_fd socket_listen(enum address_scheme scheme, const struct os_address *at,
	const struct socket_options *options)
{
	int family = at->u.any.sa_family;
	bool datagram = scheme == ADDRESS_UDP || scheme == ADDRESS_UNIXGRAM;
	mux_fd fd = open_socket(scheme, family, options);
	int error;

	if (fd < 0)
		return fd;
	if (family != AF_UNIX)
		own_port(fd, datagram);
	if (family == AF_INET6)
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, options->v6_only);
	if (options->port == SOCKET_PORT_JOINED)
		share_port(fd);
	error = os_bind(fd, at, options->mode);
	if (error)
		return fail(fd, error);
	/*
	 * Only now, so that somebody else's listener on this port, though it be shared, is an error
	 * here: Linux looks at the option whenever another socket binds, and once at listen.
	 */
	if (options->port == SOCKET_PORT_SHARED)
		share_port(fd);
	if (!datagram && listen(fd, BACKLOG) < 0) {
		struct socket_file file;

		error = os_socket_error();
		socket_file_note(&file, at);
		socket_file_remove(&file);
		return fail(fd, error);
	}
	return fd;
}

static int bind_source(mux_fd fd, int family, const struct socket_options *options)
{
	struct os_address source = options->source;

	if (!source.length) {
		memset(&source, 0, sizeof(source));
		source.u.any.sa_family = (unsigned short)family;
		source.length = family == AF_INET6 ? sizeof(source.u.v6) : sizeof(source.u.v4);
	}
	if (source.u.any.sa_family != family)
		return -EAFNOSUPPORT;
	if (family == AF_INET6)
		source.u.v6.sin6_port = htons(options->source_port);
	else
		source.u.v4.sin_port = htons(options->source_port);
	if (options->source_port)
		own_port(fd, false);
	return os_bind(fd, &source, 0);
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
		struct os_address own = { .u.any.sa_family = AF_UNIX };
		int error;

		own.length = sizeof(own.u.any.sa_family);
		error = os_bind(fd, &own, 0);
		if (error)
			return fail(fd, error);
	} else if (family != AF_UNIX && (options->source.length || options->source_port)) {
		int error = bind_source(fd, family, options);

		if (error)
			return fail(fd, error);
	}
	return fd;
}

int socket_bound(mux_fd fd, struct os_address *address)
{
	memset(address, 0, sizeof(*address));
	address->length = sizeof(address->u);
	return getsockname(fd, &address->u.any, &address->length) < 0 ? os_socket_error() : 0;
}

void socket_file_note(struct socket_file *file, const struct os_address *at)
{
	file->made = false;
	if (at->u.any.sa_family != AF_UNIX || !at->u.local.sun_path[0])
		return;
	strcpy(file->path, at->u.local.sun_path);
	file->made = os_identify_socket_file(file->path, &file->device, &file->inode);
}

void socket_file_remove(struct socket_file *file)
{
	uint64_t device;
	uint64_t inode;

	if (file->made && os_identify_socket_file(file->path, &device, &inode) &&
		device == file->device && inode == file->inode)
		remove(file->path);
	file->made = false;
}
