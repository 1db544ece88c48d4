# bash completion of trikl. Verbs and options are read from the program's own --help, so they are never out of date.

_trikl() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} program=${COMP_WORDS[0]}
	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		local verbs
		verbs=$("$program" --help 2>/dev/null | sed -n '/^verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p')
		mapfile -t COMPREPLY < <(compgen -W "$verbs --help --version" -- "$cur")
		return
	fi
	case $prev in
	--device) mapfile -t COMPREPLY < <(compgen -W "auto cpu cuda:0 reference sim" -- "$cur") ;;
	--emit) mapfile -t COMPREPLY < <(compgen -W "ast model llvm object header plan tile ptx cubin cuda bundle embed" -- "$cur") ;;
	--target | --targets)
		local targets
		targets=$("$program" targets 2>/dev/null | sed -n 's/^\(cpu\|sm_[0-9a-z]*\) .*/\1/p')
		mapfile -t COMPREPLY < <(compgen -W "native $targets" -- "$cur")
		;;
	cache) mapfile -t COMPREPLY < <(compgen -W "stats list verify clear path" -- "$cur") ;;
	--svg | -o) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
	*)
		if [[ $cur == -* ]]; then
			local options
			options=$("$program" "${COMP_WORDS[1]}" --help 2>/dev/null | grep -oE '(^|[ ,])--?[A-Za-z][-a-z]*=?' | tr -d ' ,')
			mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
		else
			mapfile -t COMPREPLY < <(compgen -f -X '!*.tkl' -- "$cur"; compgen -d -- "$cur")
		fi
		;;
	esac
}
complete -o filenames -F _trikl trikl
