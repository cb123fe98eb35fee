# bash completion for swarm-node: flags come from --help, so that they are never out of date.
_swarm_node() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  # "--flag=value" arrives as three words
  [ "$cur" = "=" ] && cur=
  [ "$prev" = "=" ] && prev=${COMP_WORDS[COMP_CWORD-2]}
  case $prev in
    --driver) mapfile -t COMPREPLY < <(compgen -W "docker process simulated" -- "$cur"); return ;;
    --log-level) mapfile -t COMPREPLY < <(compgen -W "debug info warn error off" -- "$cur"); return ;;
    --log-format) mapfile -t COMPREPLY < <(compgen -W "text json" -- "$cur"); return ;;
    --config | --pidfile | --control-socket) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --data-root | --plugin-dir) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
    --host | -H | --engine) mapfile -t COMPREPLY < <(compgen -W "unix://" -- "$cur"); compopt -o nospace; return ;;
    --group) mapfile -t COMPREPLY < <(compgen -g -- "$cur"); return ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$(swarm-node --help 2>/dev/null | grep -oE -- '--[a-z-]+' | sort -u)" -- "$cur")
}
complete -F _swarm_node swarm-node
