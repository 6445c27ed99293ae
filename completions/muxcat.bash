# bash completion for muxcat(1): commands, their options, and the values that are a choice or a file.

_muxcat_options() {
	local all='--backend= --edge --ipv4 --ipv6 --numeric --udp --unix --idle-timeout= --recv-buffer=
		--send-buffer= --tls --cert= --key= --alpn= --tls-min= --verbose --quiet --help'
	local client='--ca= --insecure --server-name='
	local data='--no-stdin --send-only --recv-only --no-shutdown --exit-on-eof --linger='

	case $1 in
	'') echo "$all --version" ;;
	listen) echo "$all $data $client --client-ca= --keep-open --max-conns= --timeout= --to= --port-file= --mode=" ;;
	connect) echo "$all $data $client --timeout= --zero --source= --source-port=" ;;
	echo) echo "$all --client-ca= --max-conns= --timeout= --port-file= --mode= --discard --threads=" ;;
	fanout) echo "$all $client --client-ca= --max-conns= --port-file= --mode= --to= --from= --broker --chat --min-clients=
		--queue= --slow= --stall= --replay=" ;;
	esac
}

_muxcat() {
	local commands='listen connect echo fanout help'
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local command='' words='' files='' i

	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		if [[ " $commands " == *" ${COMP_WORDS[i]} "* ]]; then
			command=${COMP_WORDS[i]}
			break
		fi
	done

	# readline makes words of their own of = and :
	if [[ $cur == = || $cur == : ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 1]}$cur
		cur=
	elif [[ $prev == = || $prev == : ]] && ((COMP_CWORD > 1)); then
		prev=${COMP_WORDS[COMP_CWORD - 2]}$prev
	fi

	case ${prev%=} in
	--backend)
		words=$("$1" --version 2>/dev/null | sed -n 's/([^)]*)//g; s/^backends://p')
		;;
	--slow)
		words='wait drop close'
		;;
	--tls-min)
		words='1.2 1.3'
		;;
	--port-file | --cert | --key | --ca | --client-ca | unix: | unixgram:) files=yes ;;
	-[iIO] | --idle-timeout | --recv-buffer | --send-buffer | --alpn) ;; # which nobody can guess
	*)
		if [[ $cur == -* ]]; then
			words=$(_muxcat_options "$command")
		elif [[ $command && $prev =~ ^(-U|-uU|-Uu|--unix)$ ]]; then
			files=yes
		elif [[ -z $command || $command == help ]] && [[ $prev != *= ]]; then
			words=$commands
		fi
		;;
	esac
	if [[ $files ]]; then
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	[[ ${#COMPREPLY[@]} != 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace
}

complete -F _muxcat muxcat
