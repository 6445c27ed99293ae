#include "cli_check.h"

#include <string.h>

static void check_connect(const struct reading *reading)
{
	struct options *options = reading->options;
	struct os_address *source = &options->socket.source;
	struct os_address target;

	if (reading->source && !address_numeric(reading->source, source))
		cli_usage_error("'%.200s': -s takes an IP address", reading->source);
	if (address_is_local(&options->address) && (reading->source || options->socket.source_port))
		cli_usage_error("-s and -p contradict a Unix socket");
	if (reading->source && address_numeric(options->address.host, &target) &&
		source->u.any.sa_family != target.u.any.sa_family)
		cli_usage_error("'%.200s': -s is of another family than the address to connect to",
			reading->source);
	if (reading->source && reading->family != AF_UNSPEC &&
		source->u.any.sa_family != reading->family)
		cli_usage_error("'%.200s': -s contradicts -4 or -6", reading->source);
	if (options->zero && address_is_datagram(&options->address))
		cli_usage_error("-z: a datagram socket is never refused or accepted");
}

static void check_data(const struct options *options)
{
	if (options->send_only && (options->recv_only || options->no_stdin))
		cli_usage_error(
			"--send-only contradicts %s", options->no_stdin ? "-d" : "--recv-only");
}

static void check_echo(const struct options *options)
{
	if (!address_is_datagram(&options->address))
		return;
	if (options->max_conns || options->idle_timeout || options->threads > 1)
		cli_usage_error("%s: an echo of datagrams has no connections",
			options->max_conns      ? "-m"
			: options->idle_timeout ? "-i"
						: "--threads");
}

static void check_listen(const struct options *options)
{
	if (options->to_count > 1)
		cli_usage_error("--to: listen relays to one address");
	if (options->to_count && options->no_stdin)
		cli_usage_error("--to contradicts -d: there is no stdin");
	if (options->to_count && (options->recv_only || options->send_only))
		cli_usage_error("--to contradicts %s: there is no stdin",
			options->recv_only ? "--recv-only" : "--send-only");
}

static void check_fanout(struct reading *reading)
{
	struct options *options = reading->options;

	const char *broker = options->chat ? "--chat" : "--broker";

	if (options->broker && reading->from)
		cli_usage_error("--from contradicts %s", broker);
	if (options->broker && reading->min_clients_given)
		cli_usage_error(
			"--min-clients contradicts %s: there is no input to hold back", broker);
	if (reading->from && address_is_datagram(&options->from))
		cli_usage_error("'%.200s': --from needs a stream", reading->from);
	if (!options->to_count && address_is_datagram(&options->address))
		cli_usage_error("fanout: datagrams have no subscribers; send them with --to");
	if (options->to_count && options->max_conns)
		cli_usage_error("-m contradicts --to: nobody is accepted");
	if (options->to_count && options->port_file)
		cli_usage_error("--port-file contradicts --to: there is no port");
	if (options->to_count && options->socket.mode)
		cli_usage_error("--mode contradicts --to: nobody is accepted");
	if (!reading->min_clients_given)
		options->min_clients = options->to_count ? options->to_count : 1;
	if (options->to_count && options->min_clients > options->to_count)
		cli_usage_error("--min-clients is more than there are --to");
	if (options->max_conns && options->min_clients > options->max_conns)
		cli_usage_error("--min-clients is more than -m lets in");
}

static void check_mode(const struct options *options)
{
	if (!options->socket.mode)
		return;
	if (!os_has_modes())
		cli_usage_error("--mode: this system's sockets have no permissions");
	if (!address_is_local(&options->address))
		cli_usage_error("--mode: only a Unix socket that is listened on has permissions");
	if (*options->address.path == '@')
		cli_usage_error("--mode: an abstract socket has no file");
}

/* Which roles ask for TLS, and do the options that belong to it? */
static void check_tls(struct reading *reading)
{
	struct options *options = reading->options;
	const struct tls_options *tls = &options->tls;
	bool dials = reading->command->bit == CONNECT;
	bool serves = !dials && !(reading->command->bit == FANOUT && options->to_count);
	bool names_host = true;

	options->serves_tls = serves && options->address.tls;
	for (size_t i = 0; i < options->to_count + 2; i++) {
		const struct address *to = i < options->to_count    ? &options->to[i]
					   : i == options->to_count ? &options->from
								    : &options->address;

		if (!to->tls || (to == &options->address && !dials))
			continue;
		options->dials_tls = true;
		names_host = names_host && !address_is_local(to);
	}
	if ((options->serves_tls || options->dials_tls) && !tls_is_built_in())
		cli_usage_error("TLS: this build has none");
	if (reading->tls && reading->udp)
		cli_usage_error("--tls contradicts -u: TLS is for streams");
	if (reading->tls_option && !options->serves_tls && !options->dials_tls)
		cli_usage_error("%s: no address here asks for TLS", reading->tls_option);
	if (tls->key && !tls->certificate)
		cli_usage_error("--key needs --cert");
	if (tls->client_ca && !options->serves_tls)
		cli_usage_error("--client-ca: this serves nobody by TLS");
	if ((tls->ca || tls->insecure || tls->server_name) && !options->dials_tls)
		cli_usage_error("%s: this dials nobody by TLS", tls->ca         ? "--ca"
								: tls->insecure ? "--insecure"
										: "--server-name");
	if (tls->server_name &&
		(!*tls->server_name || *tls->server_name == '.' || strlen(tls->server_name) > 253))
		cli_usage_error(
			"'%.200s': --server-name takes the name of a host", tls->server_name);
	if (tls->insecure && tls->ca)
		cli_usage_error("--insecure contradicts --ca");
	if (options->dials_tls && !names_host && !tls->server_name && !tls->insecure)
		cli_usage_error("TLS over a Unix socket: --server-name says whom to expect");
}

void cli_check(struct reading *reading)
{
	struct options *options = reading->options;

	check_data(options);
	if (reading->command->bit == LISTEN)
		check_listen(options);
	if (reading->command->bit == ECHO)
		check_echo(options);
	if (reading->command->bit == CONNECT)
		check_connect(reading);
	if (reading->command->bit == FANOUT)
		check_fanout(reading);
	check_mode(options);
	check_tls(reading);
}
