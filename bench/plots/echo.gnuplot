# What a round trip costs each echo server: from echo.csv to echo.svg.
load "../plots/style.gnuplot"
set output "echo.svg"
set title "A round trip's processor time, by message size and busy clients"
set ylabel "processor time of the server, µs"
set yrange [0:*]
set style data histogram
set style fill solid
set boxwidth 0.9
set key left top noenhanced
programs = "'muxcat' 'muxcat, edge' 'epoll loop' 'libuv' 'libuv, uv_try_write'"
name(i) = word(programs, i)
set xtics ("64 B, 100" 0, "64 B, 1,000" 1, "16 KiB, 100" 2, "16 KiB, 1,000" 3)
plot for [i = 1:5] "echo.csv" using (column(4) / 1000) every 5::(i - 1) title name(i)
