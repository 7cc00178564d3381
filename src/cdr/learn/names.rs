//! What the name of a column or member says, and whether it is a name at all.

/// What a name may say of its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// The calling party.
    Caller,
    /// The called party.
    Called,
    /// Some party's number.
    Number,
    /// When the call began.
    Start,
    /// Another time.
    Time,
    /// How long.
    Duration,
    /// An amount of money.
    Money,
    /// Who pays.
    Account,
    /// A person or a company.
    Name,
    /// Where the caller was.
    Place,
    Imsi,
    Imei,
    Ip,
    /// Text, addresses, arguments: anything may be in it.
    Free,
    /// A record's or a call's own id.
    Id,
    /// A word of the switch.
    Word,
    Nothing,
}

/// Most digits of a name: with more it may be a number.
const MOST_DIGITS: usize = 4;

/// Whether a header cell or member name may be shown: it looks like a name, not like a value.
pub(super) fn is_name(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let allowed = |letter: char| letter.is_alphanumeric() || " _-./()#%:&?$'".contains(letter);
    let begins = text.starts_with(|letter: char| letter.is_alphabetic() || letter == '_' || letter == '#');
    let ip = text.parse::<std::net::IpAddr>().is_ok();
    (1..=64).contains(&text.len()) && begins && !ip && digits <= MOST_DIGITS && text.chars().all(allowed)
}

/// The words of the last name of a path, in lower case.
pub(super) fn words(path: &str) -> Vec<String> {
    let name = path.rsplit('.').next().unwrap_or(path);
    let mut words = vec![String::new()];
    let mut lower = false;
    for letter in name.chars() {
        if !letter.is_alphanumeric() || (lower && letter.is_uppercase()) {
            words.push(String::new());
        }
        if letter.is_alphanumeric() {
            if let Some(word) = words.last_mut() {
                word.extend(letter.to_lowercase());
            }
        }
        lower = letter.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// What the name says; the more dangerous meaning first.
pub(super) fn says(path: &str) -> Says {
    let words = words(path);
    let any = |known: &str| {
        words
            .iter()
            .any(|word| known.split(' ').any(|known| known == word))
    };
    let last = |known: &str| {
        words
            .last()
            .is_some_and(|word| known.split(' ').any(|known| known == word))
    };
    let joined = words.concat();
    let part = |known: &str| known.split(' ').any(|known| joined.contains(known));
    if any("imsi") {
        return Says::Imsi;
    }
    if any("imei imeisv") {
        return Says::Imei;
    }
    if any(
        "lat latitude lon lng longitude cell cellid cgi ecgi lac tac tower antenna azimuth site location address street city postcode zip",
    ) && !any("ip")
    {
        return Says::Place;
    }
    if any("ip ipaddress host hostname") || part("ipaddr networkaddr ipv4 ipv6") {
        return Says::Ip;
    }
    if any(
        "body text message note notes comment comments memo description uri url recording recordingfile lastdata userfield extradata useragent agent channel dstchannel sdp pin password email mail",
    ) {
        return Says::Free;
    }
    if last("name cnam firstname lastname displayname surname username display") || any("cnam upn") {
        return Says::Name;
    }
    if any(
        "duration billsec seconds secs sec minutes usage ticks billmsec mduration dur holdtime ringtime talktime",
    ) || part("duration seconds")
    {
        return Says::Duration;
    }
    if any("cost price charge charged amount rate fee salesprice tax vat total revenue")
        && !any("id code type number")
    {
        return Says::Money;
    }
    if let Some(found) = time(&words, &joined) {
        return found;
    }
    if let Some(found) = party(&words, &joined) {
        return found;
    }
    if any(
        "account accountcode acct acctcode customer contract tenant subscriber user userid login payer subject client company",
    ) {
        return Says::Account;
    }
    if last(
        "id uuid guid sid pkid cgrid callid linkedid uniqueid recordid sequence seq reference ref tag key",
    ) || part("callid uniqueid")
    {
        return Says::Id;
    }
    if last(
        "type direction disposition status state cause reason method kind currency tor amaflags result code flag flags class category technology codec lastapp service interaction event unit",
    ) {
        return Says::Word;
    }
    Says::Nothing
}

fn time(words: &[String], joined: &str) -> Option<Says> {
    let any = |known: &str| {
        words
            .iter()
            .any(|word| known.split(' ').any(|known| known == word))
    };
    let time = any(
        "time date datetime timestamp stamp epoch calldate at start answer end setup begin connect answered ended started created uepoch day",
    ) || ["time", "date", "stamp"]
        .iter()
        .any(|part| joined.ends_with(part));
    if !time {
        return None;
    }
    let later = any("answer answered end ended stop release disconnect updated connect hangup")
        || ["answer", "end", "release", "disconnect"]
            .iter()
            .any(|part| joined.starts_with(part));
    Some(if later { Says::Time } else { Says::Start })
}

fn party(words: &[String], joined: &str) -> Option<Says> {
    let any = |known: &str| {
        words
            .iter()
            .any(|word| known.split(' ').any(|known| known == word))
    };
    let part = |known: &str| known.split(' ').any(|known| joined.contains(known));
    let ends_as_id = words.last().is_some_and(|word| {
        ["id", "uuid", "type", "name", "code", "country", "class"].contains(&word.as_str())
    });
    let number = any("number num no phone msisdn ani clid cli callerid dnis tel telephone mobile digits dn")
        || part("number msisdn phone");
    if ends_as_id && !number && !part("callerid") {
        return None;
    }
    if any(
        "called callee dst dest destination to dialled dialed dnis receiver callednumber bnumber bparty b terminating recipient",
    ) || part("called callee destination dialled dialed bparty bnumber")
    {
        return Some(Says::Called);
    }
    if any(
        "caller calling src source from ani cli clid callerid origin originating anumber aparty a sender orig origination",
    ) || part("caller calling aparty anumber")
    {
        return Some(Says::Caller);
    }
    (number || any("did ddi extension party correspondent forwarded redirecting diverted"))
        .then_some(Says::Number)
}
