/* Making sockets, for socket.h: a listener's clients come by themselves. */
#include "sim.h"

#include <errno.h>

static unsigned expected;
static sim_came *expected_came;

void sim_expect_clients(unsigned count, sim_came *came)
{
	expected = count;
	expected_came = came;
}

mux_fd socket_listen(enum address_scheme scheme, const struct os_address *at,
	const struct socket_options *options)
{
	struct sim_socket *listener;
	mux_fd fd = sim_open(&listener);

	(void)at, (void)options;
	if (scheme == ADDRESS_UNIXGRAM) {
		sim_datagrams_open(listener);
		return fd;
	}
	listener->is_listener = true;
	listener->to_come = expected;
	listener->came = expected_came;
	return fd;
}

/* One that somebody who comes will be accepted as. */
mux_fd os_socket(int family, int type)
{
	struct sim_socket *socket;
	mux_fd fd;

	(void)family, (void)type;
	if (sim_waiting() && sim_faults.transfer && sim_one_in(8))
		return -EMFILE;
	fd = sim_open(&socket);
	socket->acts_at = UINT64_MAX;
	return fd;
}

bool socket_ports_are_shared(void)
{
	return false;
}

mux_fd socket_dialler(enum address_scheme scheme, const struct os_address *to,
	const struct socket_options *options)
{
	(void)scheme, (void)to, (void)options;
	sim_fail("%s is not simulated", __func__);
}

/* A client's and a listener's address is the number of its descriptor. */
int socket_bound(mux_fd fd, struct os_address *address)
{
	*address = (struct os_address){ .length = sizeof(address->u.v4) };
	address->u.v4.sin_family = AF_INET;
	address->u.v4.sin_port = (in_port_t)fd;
	return 0;
}

void socket_file_note(struct socket_file *file, const struct os_address *at)
{
	(void)file, (void)at;
}

void socket_file_remove(struct socket_file *file)
{
	(void)file;
}

bool os_identify_socket_file(const char *path, uint64_t *device, uint64_t *inode)
{
	(void)device, (void)inode;
	sim_fail("%s: %s is not simulated", __func__, path);
}

int os_look_up(
	const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
	(void)service, (void)hints, (void)list;
	sim_fail("%s: %s is not simulated", __func__, host);
}
