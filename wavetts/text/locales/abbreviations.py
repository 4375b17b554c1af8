"""Abbreviations of languages other than English: what they stand for, and that their stops end no sentence.

CLDR's lists of them (its sentence-break suppressions) are in none of the packages that Python has, so the common ones
are given here; a short word without a vowel and an initial are taken for abbreviations in every language.
"""

from __future__ import annotations

import re
from functools import lru_cache

# Stands before a name or a number: never the end of a sentence. "abbreviation=words", a gap of two spaces between.
_BEFORE = {
    "ca": (
        "Sr.=senyor  Sra.=senyora  Dr.=doctor  Dra.=doctora  núm.=número  pàg.=pàgina  Sta.=santa  St.=sant  "
        "av.=avinguda"
    ),
    "cs": (
        "např.=například  tzv.=takzvaný  str.=strana  č.=číslo  p.=pan  pí.=paní  Dr.=doktor  Ing.=inženýr  "
        "prof.=profesor  sv.=svatý  ul.=ulice  tj.=to jest  mj.=mimo jiné  cca.=cirka  tel.=telefon"
    ),
    "da": (
        "f.eks.=for eksempel  bl.a.=blandt andet  d.v.s.=det vil sige  dvs.=det vil sige  ca.=cirka  hr.=herr  "
        "fr.=fru  nr.=nummer  dr.=doktor  s.=side  kl.=klokken  mht.=med hensyn til  pga.=på grund af  "
        "tlf.=telefon"
    ),
    "de": (
        "z. B.=zum Beispiel  z.B.=zum Beispiel  d. h.=das heißt  d.h.=das heißt  u. a.=unter anderem  "
        "u.a.=unter anderem  Dr.=Doktor  Prof.=Professor  Hr.=Herr  Fr.=Frau  Nr.=Nummer  St.=Sankt  ca.=circa  "
        "bzw.=beziehungsweise  vgl.=vergleiche  Abb.=Abbildung  Bd.=Band  Kap.=Kapitel  evtl.=eventuell  "
        "ggf.=gegebenenfalls  inkl.=inklusive  max.=maximal  min.=minimal  Tel.=Telefon  sog.=sogenannte  "
        "Mio.=Millionen  Mrd.=Milliarden  i. d. R.=in der Regel  o. ä.=oder ähnliches  Abs.=Absatz  "
        "Art.=Artikel  geb.=geboren  gest.=gestorben"
    ),
    "el": (
        "κ.=κύριος  κα.=κυρία  δρ.=δόκτωρ  π.χ.=παραδείγματος χάριν  δηλ.=δηλαδή  αρ.=αριθμός  σελ.=σελίδα  "
        "τηλ.=τηλέφωνο"
    ),
    "es": (
        "Sr.=señor  Sra.=señora  Srta.=señorita  Sres.=señores  Dr.=doctor  Dra.=doctora  D.=don  Dña.=doña  "
        "Prof.=profesor  Ud.=usted  Uds.=ustedes  Vd.=usted  Lic.=licenciado  Ing.=ingeniero  núm.=número  "
        "pág.=página  págs.=páginas  Av.=avenida  Avda.=avenida  C/.=calle  EE. UU.=Estados Unidos  "
        "EE.UU.=Estados Unidos  p. ej.=por ejemplo  p.ej.=por ejemplo  art.=artículo  cap.=capítulo  Sta.=santa  "
        "Sto.=santo  tel.=teléfono  aprox.=aproximadamente  vol.=volumen  Gral.=general  Mons.=monseñor"
    ),
    "et": "nt.=näiteks  jne.=ja nii edasi  hr.=härra  pr.=proua  dr.=doktor  nr.=number  lk.=lehekülg  prof.=professor",
    "fi": (
        "esim.=esimerkiksi  ns.=niin sanottu  mm.=muun muassa  n.=noin  tri.=tohtori  hra.=herra  rva.=rouva  "
        "prof.=professori  s.=sivu  klo.=kello  puh.=puhelin  ts.=toisin sanoen"
    ),
    "fr": (
        "M.=monsieur  MM.=messieurs  Mme.=madame  Mlle.=mademoiselle  Dr.=docteur  Pr.=professeur  Me.=maître  "
        "St.=saint  Ste.=sainte  p. ex.=par exemple  p.ex.=par exemple  c.-à-d.=c'est-à-dire  env.=environ  "
        "av.=avenue  bd.=boulevard  fig.=figure  chap.=chapitre  vol.=volume  art.=article  tél.=téléphone  "
        "cf.=confer  no.=numéro  pp.=pages"
    ),
    "hr": (
        "npr.=na primjer  tj.=to jest  g.=gospodin  gđa.=gospođa  dr.=doktor  prof.=profesor  br.=broj  "
        "str.=strana  ul.=ulica  sv.=sveti  tzv.=takozvani"
    ),
    "hu": (
        "pl.=például  kb.=körülbelül  ún.=úgynevezett  dr.=doktor  Dr.=doktor  ifj.=ifjabb  id.=idősebb  "
        "prof.=professzor  u.=utca  sz.=szám  old.=oldal  tel.=telefon"
    ),
    "id": (
        "dr.=dokter  Dr.=doktor  Prof.=profesor  Bpk.=bapak  Sdr.=saudara  hlm.=halaman  No.=nomor  Jl.=jalan  "
        "dll.=dan lain-lain  tel.=telepon"
    ),
    "it": (
        "Sig.=signor  Sig.ra=signora  Sig.na=signorina  Sigg.=signori  Dott.=dottor  Dott.ssa=dottoressa  "
        "Dr.=dottor  Prof.=professor  Prof.ssa=professoressa  Avv.=avvocato  Ing.=ingegner  Arch.=architetto  "
        "Rag.=ragionier  Geom.=geometra  On.=onorevole  es.=esempio  p. es.=per esempio  pag.=pagina  "
        "pagg.=pagine  n.=numero  S.=san  ca.=circa  cap.=capitolo  art.=articolo  tel.=telefono  vol.=volume  "
        "fig.=figura"
    ),
    "lt": (
        "pvz.=pavyzdžiui  t.y.=tai yra  dr.=daktaras  prof.=profesorius  p.=ponas  nr.=numeris  psl.=puslapis  "
        "gat.=gatvė  tel.=telefonas"
    ),
    "lv": "piem.=piemēram  t.i.=tas ir  dr.=doktors  prof.=profesors  nr.=numurs  lpp.=lappuse  tālr.=tālrunis",
    "nb": (
        "f.eks.=for eksempel  bl.a.=blant annet  dvs.=det vil si  ca.=cirka  hr.=herr  fr.=fru  nr.=nummer  "
        "dr.=doktor  kl.=klokken  s.=side  pga.=på grunn av  mht.=med hensyn til  tlf.=telefon"
    ),
    "nl": (
        "bijv.=bijvoorbeeld  bv.=bijvoorbeeld  d.w.z.=dat wil zeggen  dhr.=de heer  mevr.=mevrouw  mw.=mevrouw  "
        "dr.=doctor  drs.=doctorandus  prof.=professor  ir.=ingenieur  ing.=ingenieur  mr.=meester  nr.=nummer  "
        "blz.=bladzijde  ca.=circa  o.a.=onder andere  m.b.t.=met betrekking tot  i.v.m.=in verband met  "
        "t.a.v.=ter attentie van  St.=Sint  tel.=telefoon  afb.=afbeelding"
    ),
    "pl": (
        "np.=na przykład  tzn.=to znaczy  tj.=to jest  tzw.=tak zwany  ok.=około  ul.=ulica  al.=aleja  "
        "nr.=numer  str.=strona  dr.=doktor  prof.=profesor  inż.=inżynier  mgr.=magister  św.=święty  "
        "m.in.=między innymi  ks.=ksiądz  gen.=generał  tel.=telefon  godz.=godzina  pl.=plac  im.=imienia  "
        "wg.=według"
    ),
    "pt": (
        "Sr.=senhor  Sra.=senhora  Srta.=senhorita  Srs.=senhores  Dr.=doutor  Dra.=doutora  Prof.=professor  "
        "Profa.=professora  Eng.=engenheiro  Exmo.=excelentíssimo  Av.=avenida  R.=rua  núm.=número  nº.=número  "
        "pág.=página  p. ex.=por exemplo  p.ex.=por exemplo  art.=artigo  cap.=capítulo  tel.=telefone  "
        "aprox.=aproximadamente  D.=dom  S.=são  Sto.=santo  Sta.=santa"
    ),
    "ro": (
        "dl.=domnul  dna.=doamna  d-na.=doamna  dr.=doctor  prof.=profesor  ing.=inginer  nr.=numărul  "
        "str.=strada  bd.=bulevardul  pag.=pagina  ex.=exemplu  sf.=sfântul  tel.=telefon  aprox.=aproximativ  "
        "cca.=circa"
    ),
    "ru": (
        "т. е.=то есть  т.е.=то есть  т. д.=так далее  т.д.=так далее  т. п.=тому подобное  т.п.=тому подобное  "
        "т. к.=так как  т.к.=так как  г-н.=господин  г-жа.=госпожа  им.=имени  ул.=улица  пр.=проспект  "
        "пл.=площадь  д.=дом  кв.=квартира  стр.=страница  см.=смотри  напр.=например  тел.=телефон  "
        "проф.=профессор  акад.=академик  св.=святой  др.=другие  тыс.=тысяч  млн.=миллионов  млрд.=миллиардов  "
        "руб.=рублей  коп.=копеек"
    ),
    "sk": (
        "napr.=napríklad  tzv.=takzvaný  str.=strana  č.=číslo  p.=pán  Dr.=doktor  Ing.=inžinier  "
        "prof.=profesor  sv.=svätý  ul.=ulica  t. j.=to jest  t.j.=to jest  tel.=telefón  resp.=respektíve"
    ),
    "sl": (
        "npr.=na primer  tj.=to je  g.=gospod  ga.=gospa  dr.=doktor  prof.=profesor  št.=številka  str.=stran  "
        "ul.=ulica  sv.=sveti"
    ),
    "sr": (
        "npr.=na primer  tj.=to jest  g.=gospodin  dr.=doktor  prof.=profesor  br.=broj  str.=strana  ul.=ulica  "
        "нпр.=на пример  тј.=то јест  др.=доктор  проф.=професор  бр.=број  ул.=улица"
    ),
    "sv": (
        "t.ex.=till exempel  t. ex.=till exempel  bl.a.=bland annat  dvs.=det vill säga  d.v.s.=det vill säga  "
        "ca.=cirka  hr.=herr  fr.=fru  nr.=nummer  dr.=doktor  prof.=professor  s.=sidan  kl.=klockan  "
        "p.g.a.=på grund av  m.m.=med mera  tel.=telefon  S:t=Sankt"
    ),
    "tr": (
        "Dr.=doktor  Prof.=profesör  Doç.=doçent  Av.=avukat  Sn.=sayın  Bkz.=bakınız  bkz.=bakınız  "
        "örn.=örneğin  vb.=ve benzeri  Cad.=cadde  Sok.=sokak  Mah.=mahalle  No.=numara  Tel.=telefon  "
        "Alm.=Almanca  St.=sen"
    ),
    "uk": (
        "т. е.=тобто  т.д.=так далі  т. д.=так далі  т.п.=тому подібне  напр.=наприклад  ім.=імені  вул.=вулиця  "
        "пр.=проспект  буд.=будинок  кв.=квартира  стор.=сторінка  див.=дивись  тел.=телефон  проф.=професор  "
        "акад.=академік  св.=святий  ін.=інші  тис.=тисяч  млн.=мільйонів  млрд.=мільярдів  грн.=гривень"
    ),
    "vi": (
        "TP.=thành phố  Tp.=thành phố  Q.=quận  P.=phường  TS.=tiến sĩ  GS.=giáo sư  ThS.=thạc sĩ  v.v.=vân vân  "
        "Dr.=tiến sĩ"
    ),
}
# These may also end a sentence; the next word decides.
_ANYWHERE = {
    "cs": "atd.=a tak dále  apod.=a podobně",
    "da": "osv.=og så videre  m.m.=med mere",
    "de": "usw.=und so weiter  etc.=et cetera  Str.=Straße  Jh.=Jahrhundert  Chr.=Christus  u. Ä.=und Ähnliches",
    "es": "etc.=etcétera  a. C.=antes de Cristo  d. C.=después de Cristo",
    "fi": "jne.=ja niin edelleen  ym.=ynnä muuta",
    "fr": "etc.=et cetera  J.-C.=Jésus-Christ",
    "hu": "stb.=s a többi",
    "it": "ecc.=eccetera  etc.=eccetera  a.C.=avanti Cristo  d.C.=dopo Cristo",
    "nb": "osv.=og så videre  m.m.=med mer",
    "nl": "enz.=enzovoort  etc.=et cetera",
    "pl": "itd.=i tak dalej  itp.=i tym podobne",
    "pt": "etc.=et cetera  a.C.=antes de Cristo  d.C.=depois de Cristo",
    "ro": "etc.=et cetera",
    "ru": "гг.=годов  вв.=веков",
    "sk": "atď.=a tak ďalej  a pod.=a podobne",
    "sv": "osv.=och så vidare  etc.=et cetera",
    "tr": "vs.=vesaire",
    "uk": "рр.=років",
}
_VOWEL = re.compile("[aeiouyàáâãäåæèéêëìíîïòóôõöøùúûüýÿāăąēėęěīįıōőœūůűųŷаеёиоуыэюяіїєαεηιουωάέήίόύώ]", re.IGNORECASE)


def _entries(table: dict[str, str], base: str) -> dict[str, str]:
    return dict(entry.split("=") for entry in table.get(base, "").split("  ") if entry)


@lru_cache(maxsize=32)
def expansions(base: str) -> dict[str, str]:
    """Abbreviation, as it is written, to words, for a language without its region."""
    return _entries(_BEFORE, base) | _entries(_ANYWHERE, base)


@lru_cache(maxsize=32)
def before_names(base: str) -> frozenset[str]:
    """The abbreviations after which no sentence ends."""
    return frozenset(_entries(_BEFORE, base))


def looks_abbreviated(word: str) -> bool:
    """True for an initial and for a short word without a vowel: `J`, `Dr`, `str`; digits are none."""
    letters = word.rsplit(".", 1)[-1]
    if not letters.isalpha() or not (letters.isascii() or _ALPHABETIC.match(letters)):
        return False
    if len(letters) == 1:
        return letters.isupper() or "." in word
    return len(letters) <= 4 and not _VOWEL.search(letters) and not letters.isupper()


_ALPHABETIC = re.compile("[\u00c0-\u024f\u0370-\u03ff\u0400-\u04ff]")
