# What a rating engine loads for a deck: each zone under its row's own prefix and every shorter one, alone and
# on-net. awk -F, -f destinations.awk deck.csv
NR > 1 {
    plus = $1 ~ /^[+]/
    for (digits = length($1); digits > plus; digits--) {
        print $2 FS substr($1, 1, digits) "~" $2
        print "ONNET" FS substr($1, 1, digits) "~" $2 "~ONNET"
    }
}
