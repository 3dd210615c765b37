
# What follows are the completions.
function _tsm_complete {
    \builtin local line="${COMP_LINE:0:COMP_POINT}" word words IFS=$' \t\n'
    \builtin read -r -a words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=('')
    word=${words[${#words[@]} - 1]}
    COMPREPLY=()
    while IFS=$'\t' \builtin read -r line _; do
        # Readline puts it behind what it takes for the end of the word before.
        [[ $word == *[@:=]* ]] && line=${line#"${word%"${word##*[@:=]}"}"}
        COMPREPLY+=("$line")
    done < <(@TSM@ __complete -- "${words[@]:1}" 2> /dev/null)
}
if \builtin type complete > /dev/null 2>&1; then
    \builtin complete -o default -F _tsm_complete tsm
fi
