# Invoices from tokens, destinations and prices: the joins a billing system does, in the smallest form.
# awk -F, -f rate.awk accounts.csv prices.csv destinations.csv public.csv
FNR == 1 { file++ }
# account,number_2025-10,number_2025-11: any token of an account is the account
file == 1 { for (column = 2; column <= NF; column++) account[$column] = $1 }
file == 2 { pence[$1] = $2 }
# the destinations of this plan: zone,destination
file == 3 { zone[$2] = $1 }
# one call is one id: a correction replaces it, a duplicate changes nothing
file == 4 && (!($1 in call) || $2 == "correction") { call[$1] = $4 FS $7 FS $8 }
END {
    for (id in call) {
        split(call[id], part, FS)
        for (length_ = length(part[3]); length_ > 0; length_--) # the longest prefix that the plan prices
            if (substr(part[3], 1, length_) in zone) break
        price = pence[zone[substr(part[3], 1, length_)]] * int((part[2] + 59) / 60)
        total[account[part[1]]] += price
    }
    for (name in total) print name FS total[name]
}
