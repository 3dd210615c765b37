# TSM's hook for fish, as `tsm init fish` prints it: put `tsm init fish | source` into ~/.config/fish/config.fish.
#
# A service gets the exported variables, as every program does; fish reads its functions from files by itself.

function tsm --wraps tsm --description 'Keep programs running'
    if test -x @TSM@
        @TSM@ $argv
    else
        command tsm $argv
    end
end
