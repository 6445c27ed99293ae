# What all plots have in common.
set terminal svg size 720,400 font "sans-serif,12" background "white"
set datafile separator ","
set key autotitle columnheader left top
set grid ytics linecolor "#dddddd"
set border 3
set tics nomirror out
