
# What follows are the completions.
function _tsm_complete
    set -l words (commandline -opc) (commandline -ct)
    @TSM@ __complete -- $words[2..-1] 2>/dev/null
end
complete -c tsm -e
complete -c tsm -a '(_tsm_complete)'
