# Runs one RabbitMQ server with an epmd of its own, all in this folder.
#
# usage: sh broker.sh HOME RABBITMQ_SERVER EPMD --port=PORT
# The other two ports stand in HOME/ports, as all three are new when one of them is taken.
home=$1
rabbitmq_server=$2
epmd=$3
. "$home/ports"

export HOME="$home" LC_ALL=C.UTF-8
export ERL_EPMD_PORT="$epmd_port" ERL_EPMD_ADDRESS=127.0.0.1 ERL_CRASH_DUMP=/dev/null
export RABBITMQ_NODE_IP_ADDRESS=127.0.0.1
export RABBITMQ_NODE_PORT="${4#--port=}" RABBITMQ_DIST_PORT="$dist_port"
export RABBITMQ_NODENAME=rabbit@localhost RABBITMQ_USE_LONGNAME=false
export RABBITMQ_CONF_ENV_FILE="$home/rabbitmq-env.conf" RABBITMQ_CONFIG_FILE="$home/rabbitmq.conf"
export RABBITMQ_ENABLED_PLUGINS_FILE="$home/enabled_plugins" RABBITMQ_PID_FILE="$home/rabbitmq.pid"
export RABBITMQ_MNESIA_BASE="$home/data/mnesia" RABBITMQ_LOG_BASE="$home/data/log" RABBITMQ_LOGS=-
# The script becomes the Erlang machine itself: nothing is left between a signal and it.
export RUNNING_UNDER_SYSTEMD=true
# One scheduler that does not spin while it waits: several of these share a small machine.
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none
-kernel inet_dist_use_interface {127,0,0,1}"

"$epmd" -port "$epmd_port" &
epmd_pid=$!
"$rabbitmq_server" &
server_pid=$!
trap 'kill -s TERM "$server_pid" 2>/dev/null' TERM
# A signal ends the first wait, and the end of the server the second.
wait "$server_pid"
wait "$server_pid"
kill "$epmd_pid" 2>/dev/null
