/* What a TCP peer has acknowledged: see os_unsent. */
#include "os.h"

#include <iphlpapi.h>
#include <mstcpip.h>
#include <stdlib.h>
#include <string.h>

static bool same_end(const struct os_address *end, DWORD address, DWORD port)
{
	return end->u.v4.sin_addr.s_addr == address && end->u.v4.sin_port == (u_short)port;
}

static bool same_end6(const struct os_address *end, const IN6_ADDR *address, DWORD port)
{
	return IN6_ARE_ADDR_EQUAL(&end->u.v6.sin6_addr, address) &&
	       end->u.v6.sin6_port == (u_short)port;
}

static DWORD find_state(
	const MIB_TCPTABLE *table, const struct os_address *own, const struct os_address *peer)
{
	for (DWORD i = 0; i < table->dwNumEntries; i++) {
		const MIB_TCPROW *row = &table->table[i];

		if (same_end(own, row->dwLocalAddr, row->dwLocalPort) &&
			same_end(peer, row->dwRemoteAddr, row->dwRemotePort))
			return row->dwState;
	}
	return 0;
}

static DWORD find_state6(
	const MIB_TCP6TABLE *table, const struct os_address *own, const struct os_address *peer)
{
	for (DWORD i = 0; i < table->dwNumEntries; i++) {
		const MIB_TCP6ROW *row = &table->table[i];

		if (same_end6(own, &row->LocalAddr, row->dwLocalPort) &&
			same_end6(peer, &row->RemoteAddr, row->dwRemotePort))
			return row->State;
	}
	return 0;
}

/* The IPv4 address that an IPv6 socket which serves both has as its end. */
static void unmap(struct os_address *end)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };

	if (end->u.any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&end->u.v6.sin6_addr))
		return;
	v4.sin_port = end->u.v6.sin6_port;
	memcpy(&v4.sin_addr, end->u.v6.sin6_addr.s6_addr + 12, sizeof(v4.sin_addr));
	end->u.v4 = v4;
}

/* The state of a TCP connection (RFC 9293, section 3.3.2) in the system's table; 0: none there. */
static DWORD tcp_state(mux_fd fd)
{
	struct os_address own = { .length = sizeof(own.u) };
	struct os_address peer = { .length = sizeof(peer.u) };
	ULONG size = 0;
	DWORD state = 0;
	void *table;
	bool v6;

	if (getsockname(fd, &own.u.any, &own.length) < 0 ||
		getpeername(fd, &peer.u.any, &peer.length) < 0)
		return 0;
	unmap(&own);
	unmap(&peer);
	v6 = own.u.any.sa_family == AF_INET6;
	if (v6)
		GetTcp6Table(NULL, &size, FALSE);
	else
		GetTcpTable(NULL, &size, FALSE);
	size += 4096; /* it may grow before it is asked for again */
	table = malloc(size);
	if (table && v6 && GetTcp6Table(table, &size, FALSE) == NO_ERROR)
		state = find_state6(table, &own, &peer);
	else if (table && !v6 && GetTcpTable(table, &size, FALSE) == NO_ERROR)
		state = find_state(table, &own, &peer);
	free(table);
	return state;
}

/*
 * SIO_TCP_INFO tells since Windows 10, 1703. Before that, and in Wine, only the state does: once
 * our end has been sent, it is acknowledged when the connection is past FIN_WAIT1.
 */
size_t os_unsent(mux_fd fd)
{
	TCP_INFO_v0 info;
	DWORD version = 0;
	DWORD size;

	if (WSAIoctl(fd, SIO_TCP_INFO, &version, sizeof(version), &info, sizeof(info), &size, NULL,
		    NULL) == 0) {
		if (info.State == TCPSTATE_CLOSED)
			return 0;
		if (info.BytesInFlight)
			return info.BytesInFlight;
		return info.State == TCPSTATE_FIN_WAIT_1 || info.SndWnd == 0;
	}
	switch (tcp_state(fd)) {
	case MIB_TCP_STATE_FIN_WAIT1:
	case MIB_TCP_STATE_CLOSING:
	case MIB_TCP_STATE_LAST_ACK:
		return 1;
	default:
		return 0;
	}
}
