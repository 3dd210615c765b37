
# What follows are the completions.
function _tsm_complete
    set -l words (commandline -opc) (commandline -ct)
    @TSM@ __complete -- $words[2..-1] 2>/dev/null
end
complete -c tsm -e
complete -c tsm -n '__fish_seen_subcommand_from start config' -a '(_tsm_complete)'
complete -c tsm -n 'not __fish_seen_subcommand_from start config' -f -a '(_tsm_complete)'
