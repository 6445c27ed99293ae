# What a round trip costs beside idle clients: from idle.csv to idle.svg.
load "../plots/style.gnuplot"
set output "idle.svg"
set title "A round trip among 100 busy clients, beside idle ones"
set xlabel "idle clients"
set ylabel "processor time of the server, µs"
set yrange [0:*]
plot for [column = 2:5] "idle.csv" using 1:(column(column) / 1000) with linespoints
