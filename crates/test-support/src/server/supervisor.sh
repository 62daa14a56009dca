# Ties one throwaway database server and its folder to the process that started it.
#
# It runs orders from its standard input and answers each with one line. The input is a pipe that
# only the starting process holds: however that process ends, the input ends too, and this script
# kills the server and removes the folder.
#
# usage: sh supervisor.sh HOME STOP_SIGNAL DISCARD_SIGNAL COMMAND [ARGUMENT...]
# A server's processes are known by their working directory, HOME/data, which both servers keep;
# so a process that lost its parent is found too.
home=$1
stop_signal=$2
discard_signal=$3
shift 3
data=$home/data
# Not inside HOME, or this script would find itself among the processes to kill.
cd /

# Prints the process ids of all that works in HOME, which while it is being made is its installer.
members() {
    for cwd in /proc/[0-9]*/cwd; do
        if [ "$cwd" -ef "$data" ] || [ "$cwd" -ef "$home" ]; then
            pid=${cwd#/proc/}
            echo "${pid%/cwd}"
        fi
    done 2>/dev/null
}

# Sends the signal $1 to all members; one that is gone already is no error.
signal_members() {
    for pid in $(members); do kill -s "$1" "$pid" 2>/dev/null; done
}

# Ends the server by the signal $1 to its first process, and after 10 seconds by force.
end_server() {
    # A stopped process would never handle its signal.
    signal_members CONT
    [ -n "$server" ] && kill -s "$1" "$server" 2>/dev/null
    waited=0
    while [ -n "$(members)" ]; do
        if [ "$waited" -ge 200 ] || [ "$1" = KILL ] || [ -z "$server" ]; then
            signal_members KILL
        fi
        sleep 0.05
        waited=$((waited + 1))
        # Something that even SIGKILL does not end must not keep this script for ever.
        [ "$waited" -ge 400 ] && break
    done
    [ -n "$server" ] && wait "$server" 2>/dev/null
    server=
}

server=
while read -r order argument; do
    case $order in
    start)
        # The port comes with the order, as a new one is tried when the first is taken.
        (cd "$data" && exec "$@" "--port=$argument") </dev/null >>"$home/server.log" 2>&1 &
        server=$!
        echo "started $server"
        ;;
    stop)
        end_server "$stop_signal"
        echo "ended"
        ;;
    kill)
        end_server KILL
        echo "ended"
        ;;
    esac
done

end_server "$discard_signal"
rm -rf "$home"
